"""What is locked, by whom, and locks that outlived their holders."""
