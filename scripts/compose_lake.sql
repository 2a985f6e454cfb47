-- Run by the postgres image when its volume is new: the database of the Iceberg catalog "lake".
CREATE DATABASE lake;
