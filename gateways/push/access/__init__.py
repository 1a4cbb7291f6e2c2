"""Who may come to the browser gateway, for what, how often and for how long."""
