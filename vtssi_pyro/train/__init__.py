"""Training: schedules, objectives, recipes, the trainer and its checkpoints."""
