"""9 WHO IS LIVE: versions of each persona's adapter, the gate before them, the way back."""
