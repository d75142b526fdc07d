"""Training by several processes: how they find each other, agree, and notice that one is lost."""
