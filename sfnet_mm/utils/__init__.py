from .config import enable_amp, enable_drawing, enable_tta, fit_to_cpu, load_config

__all__ = ['enable_amp', 'enable_drawing', 'enable_tta', 'fit_to_cpu', 'load_config']
