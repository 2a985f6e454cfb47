"""ZooKeeper: one shared client for a process, and the lock that a table's writers take turns by."""
