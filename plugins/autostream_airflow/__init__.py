"""The Airflow face of autostream: it translates between Airflow and the library, and decides nothing."""
