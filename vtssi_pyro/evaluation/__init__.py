"""Evaluation of tracks and forecasts."""
