"""What a track is: its matching to others, and how it is written."""
