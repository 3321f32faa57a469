"""The life of a job, from its row to its end. Knows the engine only by the messages it speaks."""
