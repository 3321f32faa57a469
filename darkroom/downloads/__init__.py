"""Models on this machine: what is here, what could be, fetching from the hubs, checking and removing."""
