"""How watermarks of tables went on."""
