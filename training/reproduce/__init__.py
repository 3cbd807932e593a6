"""The paper's comparison."""
