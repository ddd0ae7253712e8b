"""Real guests through the whole conversion, started in a real engine, asked what they answer."""
