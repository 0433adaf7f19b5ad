const forgotten = require('a-package-that-was-forgotten');

exports.handler = async (event) => forgotten.answer(event);
