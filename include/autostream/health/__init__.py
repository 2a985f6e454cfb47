"""How Flink jobs are: what is measured of them judged by ladders, with reasons, fixes and a score.

Everything down to the score is pure; `judging` asks the database, and `log` remembers.
"""
