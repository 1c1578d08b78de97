"""Where rows leave a job: every write to the lake is here, and each can be repeated."""
