"""What a folder of pictures holds, how it is prepared, and how it is shown."""
