"""Names and sizes that options and networks share; imports nothing, so that help is quick."""

CODECS = ("bls2017", "bmshj2018")
BACKBONES = ("vgg19", "vgg16", "resnet152", "resnet152_block1")  # of the JPEG encoder's attention
ATTENTION_RANGES = ("sigmoid", "tanh", "minmax", "sigmoid_logits")  # from an LSTM's outputs
VGGS = ("vgg19", "vgg16")  # of the perceptual loss
LPIPS_NETWORKS = ("alex", "vgg", "squeeze")
UPSAMPLINGS = ("nearest", "transposed")  # of the residual U-Net
DISCRIMINATOR_NORMS = ("together", "apart")  # of real and generated images, in PatchGAN
PIXEL_DISTRIBUTIONS = ("logistic", "gaussian")  # components of PixelCNN's mixtures
# What Huffman codes of baseline JPEG can say: AC in 11 bits, DC as differences in 12.
LARGEST_AC, SMALLEST_DC = 1023, -1024
RANKIQA_SIZES = {"filters": 64, "units": 4096, "patch": 224}  # of VGG-16
RANKIQA_SHRINK = 32  # pixels that become one before RankIQA's dense layers
MMD_GAMMA = 512.0  # bandwidth of the MMD's kernel, Sec. 4.1
MMD_POWERS = (1, 2)  # of the distance in Eq. 7: as printed, and a Gaussian's
