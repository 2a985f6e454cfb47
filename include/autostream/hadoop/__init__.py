"""HDFS over WebHDFS and HttpFS: files, accounts, Kerberos."""
