"""What the node takes: kinds of objects and ways of writing them, as tables that are also shown."""

from pydicom import uid

# PS3.4 table B.5-1. What tasks are asked about today, and what a hospital's send rules bring along besides: that is
# taken too, to be refused by name, where a node that rejects it would only make a sender try again.
STORAGE = (
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
    uid.DigitalMammographyXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.DigitalIntraOralXRayImageStorageForPresentation,
    uid.DigitalIntraOralXRayImageStorageForProcessing,
    uid.MRImageStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedMRColorImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    uid.XRayAngiographicImageStorage,
    uid.EnhancedXAImageStorage,
    uid.XRayRadiofluoroscopicImageStorage,
    uid.EnhancedXRFImageStorage,
    uid.XRay3DAngiographicImageStorage,
    uid.BreastTomosynthesisImageStorage,
    uid.NuclearMedicineImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.EnhancedPETImageStorage,
    uid.RTImageStorage,
    uid.RTDoseStorage,
    uid.VLPhotographicImageStorage,
    uid.VLEndoscopicImageStorage,
    uid.VLMicroscopicImageStorage,
    uid.OphthalmicPhotography8BitImageStorage,
    uid.OphthalmicPhotography16BitImageStorage,
    uid.ParametricMapStorage,
    uid.SegmentationStorage,
)
IMAGES = frozenset(STORAGE)

# PS3.5 annex A, and supplement 235 for HTJ2K. Uncompressed first: a requestor that proposes several in one context is
# answered with the first of these that it knows, and lossless goes before lossy.
SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
)
PLAIN = SYNTAXES[:2]  # of what has no pixels

VERIFICATION = uid.UID("1.2.840.10008.1.1")
COMMITMENT = uid.UID("1.2.840.10008.1.20.1")  # storage commitment, push model
COMMITMENT_INSTANCE = uid.UID("1.2.840.10008.1.20.1.1")  # well known: every request names it

# PS3.4 C.6.2: Study Root Query/Retrieve, and K.6.1: the worklist.
QUERY = uid.UID("1.2.840.10008.5.1.4.1.2.2.1")
MOVE = uid.UID("1.2.840.10008.5.1.4.1.2.2.2")
GET = uid.UID("1.2.840.10008.5.1.4.1.2.2.3")
WORKLIST = uid.UID("1.2.840.10008.5.1.4.31")
