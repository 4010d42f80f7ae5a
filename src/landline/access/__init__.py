"""Who may read: what the app decided, how long that is good, and what one address may ask."""
