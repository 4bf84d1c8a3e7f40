"""How good tracks and forecasts are."""
