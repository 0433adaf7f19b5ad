"""SAM and CloudFormation templates, read as data of an unknown sender: a template in, a `Deployment` out."""

from trunkline.templates.template import load_template

__all__ = ["load_template"]
