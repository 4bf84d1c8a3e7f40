"""How parameters change: schedules, objectives, recipes, the trainer and its checkpoints."""
