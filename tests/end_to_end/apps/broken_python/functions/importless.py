import a_package_that_was_forgotten


def handler(event, context):
    return a_package_that_was_forgotten.answer(event)
