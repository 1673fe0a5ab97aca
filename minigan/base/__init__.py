"""What stands below everything else, and imports nothing of the library."""
