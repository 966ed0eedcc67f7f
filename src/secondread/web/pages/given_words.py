"""Sentences of tasks and reader that pages show, so that they are translated; a test tells when one is missing."""

from flask_babel import lazy_gettext

GIVEN_WORDS = (
    lazy_gettext("Brain tumour"),
    lazy_gettext("Does this brain MRI slice show a tumour?"),
    lazy_gettext("Second reading of single brain MRI slices, to point a reader to slices worth a second look."),
    lazy_gettext("Reads one slice: a tumour outside the slice is not seen, and the study is not replaced."),
    lazy_gettext(
        "Learnt from FLAIR slices of glioma patients and from mixed web collections whose labels hold errors."
    ),
    lazy_gettext(
        "Contrast-enhanced T1 showed it tumours at most, never a healthy slice: specificity there was not measured."
    ),
    lazy_gettext("Not measured on children, after surgery, or on CT."),
    lazy_gettext("tumour suspected: the whole study should be read by a radiologist"),
    lazy_gettext("no tumour found in this slice"),
    lazy_gettext("between the thresholds: a qualified reader must decide"),
    lazy_gettext("Fracture"),
    lazy_gettext("Does this bone X-ray show a fracture?"),
    lazy_gettext(
        "Second reading of X-rays of hand, leg, hip and shoulder, to lower the number of fractures sent home."
    ),
    lazy_gettext("Learnt from three hospitals of one country; other places were not measured."),
    lazy_gettext(
        "Metal hardware stands mostly in fractured films of the training set, so it may raise the score by itself."
    ),
    lazy_gettext("Not for spine, skull, ribs or face, and not measured on children apart."),
    lazy_gettext("One film at a time: a fracture seen in another view only is missed."),
    lazy_gettext("fracture suspected: to be read by a radiologist"),
    lazy_gettext("no fracture found"),
    lazy_gettext("Tuberculosis"),
    lazy_gettext("Does this chest X-ray show signs of pulmonary tuberculosis?"),
    lazy_gettext("Second reading of frontal chest films of adults, to find who should have a bacteriological test."),
    lazy_gettext("Not a diagnosis: tuberculosis is confirmed by bacteriology."),
    lazy_gettext(
        "Learnt from 128-pixel images of one hospital; a number from that hospital flatters. "
        "See the result on the external one."
    ),
    lazy_gettext("Not measured on children, on lateral films, or on photographs of films."),
    lazy_gettext("Other lung disease (pneumonia, cancer, scars) may be read as tuberculosis."),
    lazy_gettext("signs of tuberculosis: bacteriological test advised"),
    lazy_gettext("no signs of tuberculosis found"),
    lazy_gettext("A heat map shows what the model used, not where disease is."),
    lazy_gettext("bright and dark look swapped; invert the image, or send the original file"),
    # of the PDF
    lazy_gettext("It assists a qualified reader and is no medical device. It is not a diagnosis."),
    lazy_gettext("brain MRI slice"),
    lazy_gettext("bone X-ray"),
    lazy_gettext("chest X-ray"),
    lazy_gettext("brain"),
    lazy_gettext("hand, leg, hip or shoulder"),
    lazy_gettext("chest"),
    # splits, as evidence names them
    lazy_gettext("test"),
    lazy_gettext("localisation"),
    lazy_gettext("external"),
    lazy_gettext("external-negatives"),
)
