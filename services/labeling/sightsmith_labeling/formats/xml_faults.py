"""What is wrong with an XML file, in one code and the same words for every format that is XML."""

from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import ParseError
from xml.sax import SAXException

from defusedxml.common import DefusedXmlException

from sightsmith_labeling.formats.fields import FieldError, shown

INVALID_XML = "ERROR_INVALID_XML"


@contextmanager
def telling_xml_faults() -> Iterator[None]:
    """Turns what parsers raise into a `FieldError` with the code ERROR_INVALID_XML.

    Raises:
        FieldError: if what is parsed in the block is no XML, or has a document type or entities.
    """
    try:
        yield
    # defusedxml raises a ValueError for entities and document types; expat a LookupError for unknown encodings.
    except DefusedXmlException as error:
        raise FieldError(INVALID_XML, "it has a document type or entities, which are refused") from error
    except (ParseError, SAXException, ValueError, LookupError) as error:
        reason = error.getMessage() if isinstance(error, SAXException) else str(error)
        raise FieldError(INVALID_XML, f"it is not plain XML: {shown(reason)}") from error
