-- Run by the postgres image when its volume is new: databases of the Iceberg catalog "lake" and of autostream.
CREATE DATABASE lake;
CREATE DATABASE autostream;
