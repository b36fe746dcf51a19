"""The paper's method: contrastive learning of two modalities that guide each other."""
