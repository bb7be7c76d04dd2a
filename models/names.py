"""Names that options choose networks and their parts by; imports nothing, so that help is quick."""

CODECS = ("bls2017", "bmshj2018")
BACKBONES = ("vgg19", "vgg16", "resnet152", "resnet152_block1")  # of the JPEG encoder's attention
ATTENTION_RANGES = ("sigmoid", "tanh", "minmax", "sigmoid_logits")  # from an LSTM's outputs
VGGS = ("vgg19", "vgg16")  # of the perceptual loss
LPIPS_NETWORKS = ("alex", "vgg", "squeeze")
UPSAMPLINGS = ("nearest", "transposed")  # of the residual U-Net
DISCRIMINATOR_NORMS = ("together", "apart")  # of real and generated images, in PatchGAN
PIXEL_DISTRIBUTIONS = ("logistic", "gaussian")  # components of PixelCNN's mixtures
