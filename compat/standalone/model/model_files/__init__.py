"""A transformer, its text models and its VAE, each in a file of its own, as ComfyUI reads them.

    models/diffusion_models/*.safetensors     families.py, flux_names.py
    models/text_encoders/*.safetensors        text_models.py, tokenizers.py
    models/vae/*.safetensors                  vaes.py

The files have the names of the models' own code. diffusers' functions translate them, and every
number of a configuration is taken from the shapes of the weights. Nothing is downloaded.
"""
