"Package metadata, read from `settings.ini`."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

EXTRAS = "tensorboard", "export", "distributed", "cluster", "dev", "docs"

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    keywords=settings["keywords"].split(),
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Natural Language :: English",
        "Programming Language :: Python :: 3",
    ],
    python_requires=">=" + settings["min_python"],
    install_requires=settings["requirements"].split(),
    extras_require={name: settings[f"{name}_requirements"].split() for name in EXTRAS},
    packages=find_packages(include=["sgan_nb", "sgan_nb.*"]),
    package_data={"sgan_nb": ["page.html", "label_page.html", "pretrained/*"]},
    package_dir={"": "."},
    entry_points={
        "console_scripts": settings["console_scripts"].split(),
        "nbdev": ["sgan_nb=sgan_nb._modidx:d"],
    },
    zip_safe=False,
)
