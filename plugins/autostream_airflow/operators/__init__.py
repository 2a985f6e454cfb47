"""The operators that the workflows in `dags/` are made of."""
