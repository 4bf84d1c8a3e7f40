"""The paper's generative model of a video and its guide."""
