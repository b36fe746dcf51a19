"""The configuration groups; Hydra reads them as ``pkg://mvcgc.conf``."""
