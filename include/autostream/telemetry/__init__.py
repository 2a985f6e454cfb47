"""What Flink jobs do over time: figures, sampled in intervals, kept in the database, read as windows.

Health, rescaling and budgets stand on these figures. Each is declared once, in `figures`.
"""
