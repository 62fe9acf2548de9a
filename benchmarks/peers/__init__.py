"""Other libraries, run as their users run them: each in its own virtual environment and worker process."""
