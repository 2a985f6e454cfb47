"""The `autostream` command: what a DAG does, done by hand. One module for each group of commands."""
