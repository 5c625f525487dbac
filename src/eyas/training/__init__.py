"""The training: plan, loop, step, state, checkpoints."""
