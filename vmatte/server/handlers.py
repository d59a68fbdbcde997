"""Has an application answer every error with a problem document."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vmatte.errors import VmatteError
from vmatte.server.errors import Problem, problem_of


def install(app: FastAPI) -> None:
    """Answer errors of ``app``."""

    @app.exception_handler(Problem)
    async def refused(request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(VmatteError)
    async def failed(request: Request, error: VmatteError) -> JSONResponse:
        return problem_of(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = "; ".join(
            f"{'.'.join(str(p) for p in e['loc'][1:]) or 'body'}: {e['msg']}"
            for e in error.errors()
        )
        return Problem(422, "invalid", faults).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        response = Problem(error.status_code, "http", str(error.detail)).response()
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def crashed(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again, so that the server logs the traceback.
        return problem_of(error).response()
