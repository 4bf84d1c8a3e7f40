"""The model and the guide: what is believed of a video, and how it is inferred; the paper."""
