# aur_options carries the warnings and flags every target of the project is compiled with.
add_library(aur_options INTERFACE)
target_compile_definitions(aur_options INTERFACE _GNU_SOURCE)
target_compile_options(aur_options INTERFACE
	"$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wvla;-fno-math-errno;-fno-trapping-math>"
	"$<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes;-Wmissing-prototypes>")
if(AURELIUS_WERROR)
	target_compile_options(aur_options INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:-Werror>")
endif()
if(AURELIUS_SANITIZE)
	target_compile_options(aur_options INTERFACE
		"$<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${AURELIUS_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
	target_link_options(aur_options INTERFACE -fsanitize=${AURELIUS_SANITIZE})
endif()

# aur_add_box(NAME DEPENDS box... PRIVATE_DEPENDS library...)
# One folder of the layout: a static library aur_NAME whose include/ folder only those who depend on it can see.
function(aur_add_box name)
	cmake_parse_arguments(BOX "" "" "DEPENDS;PRIVATE_DEPENDS;SOURCES" ${ARGN})
	if(NOT BOX_SOURCES)
		file(GLOB BOX_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
	endif()
	add_library(aur_${name} STATIC ${BOX_SOURCES})
	target_include_directories(aur_${name} PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}/include"
		PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
	target_link_libraries(aur_${name} PUBLIC ${BOX_DEPENDS} PRIVATE aur_options ${BOX_PRIVATE_DEPENDS})
endfunction()
