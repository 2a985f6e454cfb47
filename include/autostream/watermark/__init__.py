"""How complete a table is: watermarks recorded in its metadata, read back, and asked about."""
