@echo off
rem Darkroom on Windows: sets up what is missing, then serves the page. The same as "make run" elsewhere.
setlocal
cd /d "%~dp0"

if exist .venv\Scripts\python.exe goto install

set FOUND=
for %%P in ("py -3.13" "py -3.12" "py -3.11" "py -3.14" "py -3" "python") do (
    if not defined FOUND %%~P -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && set "FOUND=%%~P"
)
if not defined FOUND (
    echo Darkroom needs Python 3.11 or newer: get it from python.org, tick "py launcher", and start run.bat again.
    pause
    exit /b 1
)
%FOUND% -m venv --clear .venv
if errorlevel 1 (
    echo The folder .venv could not be made. Is this folder one you may write to?
    rmdir /s /q .venv 2>nul
    pause
    exit /b 1
)

:install
rem A copy of the list that was installed last: while it is the same, there is nothing to do.
fc /b requirements.txt .venv\requirements.txt >nul 2>nul && goto run
echo Installing requirements.txt
.venv\Scripts\python.exe -m pip --disable-pip-version-check --no-input install -r requirements.txt
if errorlevel 1 (
    echo The installation ended early: see the lines above. Start run.bat again to go on.
    pause
    exit /b 1
)
copy /y requirements.txt .venv\requirements.txt >nul

rem On Windows the package index has only the torch build that does not use graphics cards.
.venv\Scripts\python.exe -c "import torch; raise SystemExit(torch.version.cuda is None)"
if errorlevel 1 (
    echo.
    echo This torch does not use the graphics card. For an NVIDIA card: at pytorch.org, under Get Started, choose pip,
    echo Windows and CUDA, copy the address after --index-url, and run this with the versions that requirements.txt has:
    echo     .venv\Scripts\python.exe -m pip install --force-reinstall torch==... torchvision==... --index-url ADDRESS
    echo.
)

:run
.venv\Scripts\python.exe app.py %*
if errorlevel 1 pause
