from .config import enable_amp, enable_drawing, enable_tta, load_config

__all__ = ['enable_amp', 'enable_drawing', 'enable_tta', 'load_config']
