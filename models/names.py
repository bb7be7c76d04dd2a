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
# Where networks come from, by their names in cards.
PAPERS = {
    "arcnn": "Dong, Deng, Loy, Tang, ICCV 2015",
    "bls2017": "Balle, Laparra, Simoncelli, ICLR 2017; ProxIQA: Chen et al., IEEE TIP 2021",
    "bmshj2018": "Balle et al., ICLR 2018; ProxIQA: Chen et al., IEEE TIP 2021",
    "conditional_pixelcnn": "Perceptual Image Restoration with High-Quality Priori and Degradation "
    "Learning: Han et al., 2021; PixelCNN++: Salimans et al., ICLR 2017",
    "dncnn": "Zhang et al., IEEE TIP 2017",
    "jpeg_encoder": "Deep Neural Network Based Image Compression Encoders: Liu, Liu, Mantravadi",
    "memnet": "Tai, Yang, Liu, Xu, ICCV 2017",
    "mwcnn": "Liu et al., CVPR Workshops 2018",
    "rankiqa": "Liu, van de Weijer, Bagdanov, ICCV 2017",
    "residual_unet": "Learning to Distort Images Using GANs: Chen et al., IEEE SPL 2020",
    "stylegan1": "Karras, Laine, Aila, CVPR 2019",
    "stylegan2": "Karras et al., CVPR 2020",
    "tnrd": "Chen, Pock, IEEE TPAMI 2017",
    "wcdgan": "Xie, Zhang, Jung, IEEE Access 2021",
}
