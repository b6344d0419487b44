"""From words to a plan: slash commands, routing, prompts, the planner."""
